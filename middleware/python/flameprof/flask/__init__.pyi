from flask import Blueprint

def blueprint(name: str, url_prefix: str) -> Blueprint: ...

flameprof: Blueprint
OX_PROF_BP: Blueprint

__all__ = ["OX_PROF_BP", "blueprint", "flameprof"]
