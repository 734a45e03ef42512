import dataclasses

import pytest
import timm
from timm.models import get_pretrained_cfg
from zoo_plugins import timm_provider
from zoo_plugins.timm_provider import TimmModels
from zoo_plugins.timm_records import hash_in, label_names, paper_of, record_of, records_of, reference_of


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x.test/resnet18-f37072fd.pth", "f37072fd"),
        ("https://x.test/seresnext26_32x4d-65ebdb501.pth", "65ebdb501"),
        ("https://x.test/IN1K-vit.h.14-300e.pth.tar", ""),
        ("https://x.test/net.pth", ""),
        ("", ""),
    ],
)
def test_hash_in_reads_pytorchs_convention(url, expected):
    assert hash_in(url) == expected


def test_record_of_says_what_timm_says():
    cfg = get_pretrained_cfg("resnet18.tv_in1k")
    record = record_of(cfg)
    assert (record.tag, record.hub_id, record.url, record.classes) == ("tv_in1k", cfg.hf_hub_id, cfg.url, 1000)
    assert record.license == "bsd-3-clause"
    assert record.preprocess.interpolation == "bilinear"


def test_record_of_leaves_out_addresses_of_files_that_only_timm_can_read():
    cfg = get_pretrained_cfg("vit_tiny_patch16_224.augreg_in21k")
    assert str(cfg.url).endswith(".npz")
    record = record_of(cfg)
    assert record.url is None
    assert record.hub_id == "timm/vit_tiny_patch16_224.augreg_in21k"
    assert record_of(dataclasses.replace(cfg, custom_load=False)).url == cfg.url


def test_records_of_holds_only_sets_that_can_be_had():
    assert records_of("resnet200") == ()  # timm has no weights for it
    for arch in ("resnet50", "convnext_tiny", "vit_base_patch16_224"):
        records = records_of(arch)
        assert len(records) > 1
        assert all(record.hub_id or record.url for record in records)
        assert len({record.tag for record in records}) == len(records)


def test_every_published_set_has_a_preprocessing():
    provider = TimmModels()
    count = 0
    for name in provider.names():
        for record in provider.offer(name).facts["records"]:
            wants = record.preprocess
            assert len(wants.mean) == len(wants.std) == 3
            assert all(share > 0 for share in wants.std)
            assert 0 < wants.crop_share <= 1
            assert 32 <= wants.size <= 1100
            count += 1
    assert count > 1500


def test_paper_of_takes_the_table_then_the_only_one_that_timms_module_names():
    assert paper_of("vit_tiny_patch16_224").reference == "arXiv:2010.11929"
    assert paper_of("efficientnet_b0").reference == "arXiv:1905.11946"
    rexnet = paper_of("rexnet_100")
    assert (rexnet.reference, rexnet.year, rexnet.title) == ("arXiv:2007.00992", 2020, "")
    assert reference_of("rexnet_100", None) == "arXiv:2007.00992"


def test_paper_of_is_silent_where_nothing_is_certain():
    assert paper_of("gmixer_12_224") is None  # timm's own mixture of two papers
    assert paper_of("mobilenetv5_300m") is None  # its module names the paper of MobileNetV4
    assert paper_of("test_vit") is None


def test_reference_of_falls_back_to_the_paper_and_the_home_of_the_weights():
    arch = "resnet10t"
    cfg = get_pretrained_cfg(f"{arch}.c3_in1k")
    assert paper_of(arch) is None
    assert reference_of(arch, dataclasses.replace(cfg, paper_ids="arXiv:2110.00476")) == "arXiv:2110.00476"
    assert (
        reference_of(arch, dataclasses.replace(cfg, paper_ids=None, origin_url="https://x.test/")) == "https://x.test/"
    )
    assert reference_of(arch, None).startswith("https://github.com/")
    assert reference_of(arch, dataclasses.replace(cfg, paper_ids=("arXiv:1", "arXiv:2"))) == "arXiv:1"


@pytest.mark.parametrize(("classes", "first"), [(1000, "tench"), (21843, "organism"), (37, None), (0, None)])
def test_label_names_follow_the_number_of_outputs(classes, first):
    record = dataclasses.replace(record_of(get_pretrained_cfg("resnet18")), classes=classes)
    names = label_names(record)
    assert len(names) == (classes if first else 0)
    assert not first or names[0].startswith(first)


def test_counts_of_another_timm_are_not_shown(monkeypatch):
    monkeypatch.setattr(timm_provider.timm, "__version__", "9.9.9")
    timm_provider._counts.cache_clear()
    try:
        assert "parameters" not in TimmModels().offer("resnet18").facts
    finally:
        timm_provider._counts.cache_clear()


def test_counts_cover_every_architecture_of_the_installed_timm():
    provider = TimmModels()
    missing = [name for name in provider.names() if "parameters" not in provider.offer(name).facts]
    assert missing == [], f"timm {timm.__version__} was not counted: write the table again (plugins/timm_counts.py)"
