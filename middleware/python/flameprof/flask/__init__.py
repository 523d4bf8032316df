"""Flask pages that sample all threads of a running application.

    from flameprof.flask import flameprof
    app.register_blueprint(flameprof)

and open /flameprof/. Nothing is sampled before somebody presses start there. Only
requests straight from this machine may, or app.config["FLAMEPROF_USERS"] says who.

OX_PROF_BP is the same at /ox_profile, by the name ox_profile's own has there.
"""

from .views import blueprint

flameprof = blueprint("flameprof", "/flameprof")
OX_PROF_BP = blueprint("ox_profile", "/ox_profile")

__all__ = ["OX_PROF_BP", "blueprint", "flameprof"]
