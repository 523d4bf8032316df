"""What gunicorn serves."""

import flameprof

from afflicted import application

behind = flameprof.Middleware(application)
behind_panel = flameprof.Middleware(application, panel=True)
