from ivtutorial.lab.demo.config import DemoConfig as DemoConfig
from ivtutorial.lab.demo.report import (
    Report as Report,
    render_report as render_report,
    write_demo_report as write_demo_report,
)
from ivtutorial.lab.demo.run import run_demo as run_demo
