"""The playground in a real JupyterLab, driven in a real browser (`make check-book`)."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from sfc_lib.files import checkout

pytestmark = pytest.mark.browser
SECOND = 1000  # milliseconds
NOTEBOOKS = checkout() / "notebooks"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address of a JupyterLab over a copy of the notebooks, far from the repository's folder."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(NOTEBOOKS, folder / "elsewhere")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", f"--port={port}", "--IdentityProvider.token=", "--allow-root"]
    command = [sys.executable, "-m", "jupyterlab", *options, f"--notebook-dir={folder}"]
    environment = os.environ | {"SFC_RUNS_DIR": str(folder / "runs")}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}/api", timeout=5)
            break
        except OSError:
            time.sleep(1)
    yield address, folder
    process.terminate()
    process.wait(30)


@pytest.fixture
def page(lab, browser):
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    yield context.new_page()
    context.close()


def run_all(page, address, name):
    """Open a notebook and run all its cells."""
    page.goto(f"{address}/lab/tree/elsewhere/{name}.ipynb?reset")
    page.get_by_text("| Idle").wait_for(timeout=180 * SECOND)  # the kernel is there
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
    page.get_by_text("Run All Cells", exact=True).click()


def test_a_network_is_trained_stopped_and_resumed_by_clicks(lab, page):
    address, folder = lab
    run_all(page, address, "playground")
    page.get_by_role("button", name="Start", exact=True).wait_for(timeout=180 * SECOND)
    for words, value in (("training sequences", "400"), ("most epochs", "40")):
        field = page.locator(".widget-text", has_text=words).locator("input")
        field.fill(value)
        field.press("Enter")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_text(re.compile(r"[1-9]\d* of at most 40 epochs")).wait_for(timeout=180 * SECOND)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("Start goes on").wait_for(timeout=60 * SECOND)
    assert not list((folder / "runs").glob("*/result.json"))
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_text("Record:").wait_for(timeout=300 * SECOND)
    pictures = page.locator(".jp-OutputArea img.sfc-picture")
    pictures.nth(3).wait_for(timeout=60 * SECOND)  # curve, scores, importance, weights
    assert pictures.count() == 4
    assert list((folder / "runs").glob("*/result.json"))


def test_a_wrong_parameter_is_one_line_in_jupyterlab(lab, page):
    address, folder = lab
    path = folder / "elsewhere" / "wrong.ipynb"
    text = (folder / "elsewhere" / "figure2_learning_curves.ipynb").read_text()
    assert "smoothing: int = 1" in text
    path.write_text(text.replace("smoothing: int = 1", "smoothing: int = -1"))
    run_all(page, address, "wrong")
    error = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']")
    error.first.wait_for(timeout=180 * SECOND)
    said = error.first.inner_text().strip()
    assert said == "parameter smoothing: expected a number >= 1, got -1."


@pytest.mark.parametrize("name", sorted(p.stem for p in NOTEBOOKS.glob("figure*.ipynb")))
def test_a_figures_notebook_runs_to_its_end_in_another_folder(lab, page, name):
    address, _ = lab
    run_all(page, address, name)
    page.get_by_text("Provenance of every number").wait_for(timeout=300 * SECOND)
    errors = "[data-mime-type='application/vnd.jupyter.stderr'], [data-mime-type$='error']"
    assert page.locator(f".jp-OutputArea-output:is({errors})").count() == 0
