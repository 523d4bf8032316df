from django.urls import path

from shop import views

urlpatterns = [
    path("", views.front, name="front"),
    path("catalogue.json", views.catalogue, name="catalogue"),
    path("broken/", views.broken, name="broken"),
]
