"""Reading and writing media files: video, sound, pictures, archives of pictures."""
