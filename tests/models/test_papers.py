import re

import pytest
import timm
from timm.models import model_entrypoint
from zoo_plugins import papers
from zoo_plugins.classic_papers import CLASSICS, classic_facts
from zoo_plugins.papers import Paper
from zoo_plugins.timm_papers import PAPERS, paper_for
from zoo_plugins.timm_records import _ARXIV

ALL = [*(paper for _, paper in PAPERS), *(value for value in vars(papers).values() if isinstance(value, Paper))]


def test_every_paper_has_a_title_a_reference_and_the_year_of_its_number():
    assert len(ALL) > 90
    for paper in ALL:
        assert paper.title.strip() == paper.title != ""
        arxiv = re.fullmatch(r"arXiv:(\d\d)(0[1-9]|1[0-2])\.\d{4,5}", paper.reference)
        assert arxiv or re.fullmatch(r"doi:10\.\d{4}/\S+", paper.reference)
        assert not arxiv or paper.year == 2000 + int(arxiv.group(1))


def test_one_reference_has_one_title():
    titles = {}
    for paper in ALL:
        assert titles.setdefault(paper.reference, paper.title) == paper.title


def test_classics_stand_in_the_order_in_which_they_appeared():
    years = [paper.year for _, paper in CLASSICS]
    assert years == sorted(years)
    assert (years[0], years[-1]) == (1958, 2016)
    numbers = [paper.reference for _, paper in CLASSICS if paper.reference.startswith("arXiv:") and paper.year == 2015]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("name", "year", "words"),
    [
        ("perceptron", 1958, "Perceptron"),
        ("mlp", 1986, "Back-propagating"),
        ("lenet5", 1998, "Document Recognition"),
        ("alexnet", 2012, "ImageNet Classification"),
        ("vgg19_bn", 2014, "Very Deep"),
        ("googlenet", 2014, "Going Deeper"),
        ("resnet152", 2015, "Residual"),
        ("inception_v3", 2015, "Rethinking"),
        ("inception_resnet_v2", 2016, "Inception-ResNet"),
        ("legacy_xception", 2016, "Depthwise"),
    ],
)
def test_classic_facts_name_the_paper(name, year, words):
    facts = classic_facts(name)
    assert facts["year"] == year
    assert words in facts["title"]


@pytest.mark.parametrize("name", ["resnet26", "resnet18d", "vgg", "wide_resnet50_2", "resnet50.a1_in1k", "mlp2"])
def test_classic_facts_are_silent_on_others(name):
    assert classic_facts(name) == {}


def test_every_row_of_the_table_is_used_by_a_network_of_timm():
    names = timm.list_models()
    owners = {name: paper_for(name) for name in names}
    for pattern, paper in PAPERS:
        assert any(re.fullmatch(pattern, name) and owners[name] is paper for name in names), pattern
    assert sum(paper is not None for paper in owners.values()) > 650


def test_table_agrees_with_timm_where_timms_module_names_one_paper_alone():
    import sys

    checked = 0
    for name in timm.list_models():
        paper = paper_for(name)
        stated = set(_ARXIV.findall(sys.modules[model_entrypoint(name).__module__].__doc__ or ""))
        if paper is not None and len(stated) == 1:
            assert paper.reference == f"arXiv:{stated.pop()}", name
            checked += 1
    assert checked > 40
