"""The numbers on the method page, against those of the paper and of arithmetic."""

import pytest

from sfc_lib.pages import method


def test_initial_variances_are_those_of_the_method_page():
    table, figure = method.initial_weights()
    ratio = table.set_index(["initialiser", "layer"])["relative to glorot_uniform"].astype(float)
    assert ratio["glorot_uniform", "FC"] == pytest.approx(1, abs=0.02)
    assert ratio["paper", "sep"] == pytest.approx(1 / 9, rel=0.04)
    assert ratio["paper", "symm"] == pytest.approx((1750 + 648) / (900 + 648) / 9, rel=0.04)
    assert ratio["variance", "sep"] == pytest.approx(1, abs=0.04)
    assert ratio["variance", "symm"] == pytest.approx(1, abs=0.04)
    assert len(figure.axes[0].lines) == 3


def test_networks_and_costs_are_those_of_the_paper():
    networks = method.networks_table().set_index("quantity")
    assert list(networks.loc["parameters, std"]) == ["117,503", "32,385", "5,582,916"]
    assert list(networks.loc["parameters, sep"]) == ["117,483", "32,321", "3,200,916"]
    assert list(networks.loc["parameters, symm"]) == ["106,467", "31,907", "3,191,916"]
    assert (networks.loc["SFC neurons here"] == networks.loc["SFC neurons in the paper"]).all()
    costs = method.cost_table().set_index("quantity")
    assert list(costs.loc["ratio of the two"]) == ["13.33", "18.01", "1.28"]
    assert method.collapse() < 1e-4


def test_the_diagram_says_what_is_weighed_by_what():
    texts = {text.get_text() for text in method.diagram().texts}
    assert {"FC neuron", "SFC neuron", "$W_{pos}$", "$W_{chan}$"} < texts
    grids = [axes.collections[0].get_array().shape for axes in method.diagram(14, 6).axes]
    assert grids == [(4, 44), (6, 14), (6, 14), (6, 14), (1, 14), (6, 1)]
