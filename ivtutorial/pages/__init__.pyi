from ivtutorial.pages.curve import running_mean as running_mean, svg_curve as svg_curve
from ivtutorial.pages.embed import data_address as data_address, html_video as html_video, picture as picture
from ivtutorial.pages.film import (
    film_assets as film_assets,
    html_film as html_film,
    html_reel as html_reel,
    html_wipe as html_wipe,
)
from ivtutorial.pages.page import render_page as render_page
