"""Every knob of avkd as frozen typed dataclasses, and how YAML files and flags become them."""
