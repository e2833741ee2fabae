# SPDX-License-Identifier: Apache-2.0
"""Synthetic tenants, held against the contract by rules that are written out here once more."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.reference_impl.contract import FORMATS, Contract, default_contract, load_contract
from kryonix_cache.reference_impl.errors import InvalidTenantIdError
from kryonix_cache.reference_impl.seeding import (
    MOMENT,
    Seeder,
    SeedKey,
    SeedReport,
    SyntheticPlan,
    seed_sample,
    synthetic_tenant_ids,
)
from kryonix_cache.reference_impl.seeding.errors import ForeignKeyError, SyntheticDataError
from kryonix_cache.reference_impl.seeding.values import MAKERS
from tests.seeding.observed import DATABASES, observe, values
from tests.seeding.offences import fields_of, offences, parsed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kryonix_cache.reference_impl.connection import Pools

SEED = 3
CONTRACT = default_contract()


def plan_of(count: int, seed: int = SEED, contract: Contract = CONTRACT) -> SyntheticPlan:
    return SyntheticPlan(contract, synthetic_tenant_ids(contract, count, seed), seed)


def all_keys(plan: SyntheticPlan) -> list[SeedKey]:
    return [key for database in plan.sizes for key in plan.keys(database)]


def test_the_rules_of_these_tests_find_each_broken_one() -> None:
    """Faults in sound data: each is found, so an empty list of offences means something."""
    keys = all_keys(plan_of(2))
    faults = {
        "type or time to live": lambda key: replace(key, ttl=5),
        "secret in clear": lambda key: changed(key, "sdk:tenant:", b"api_key", b"sk_0123456789abc"),
        "does not read": lambda key: changed(key, "metrics:tenant:", b"mobile_users", b"12 users"),
        "sector differs": lambda key: changed(key, "sdk:tenant:", b"business_sector", b"legally"),
        "no key of the tenant": lambda key: changed(key, "predict", b"next_hour_keys", b'["a"]'),
        "is not unique": lambda key: changed(key, "branding:", b"custom_domain", b"a.example.com"),
        "not the key's": lambda key: changed(key, "websocket:tenant:", b"connection_id", b"x"),
        "nothing is there": lambda key: changed(key, "config:tenant:", b"business_sector", b"none"),
        "another tenant": lambda key: changed(key, "tenant:", b"tenant_id", b"globex"),
        "of the listed words": lambda key: changed(key, "app_build:", b"ios_build_status", b"x"),
    }
    for sentence, fault in faults.items():
        found = offences(CONTRACT, [fault(key) for key in keys])
        assert any(sentence in offence for offence in found), sentence


def changed(key: SeedKey, prefix: str, field: bytes, text: bytes) -> SeedKey:
    if not key.name.startswith(prefix.encode()) or field not in key.write:
        return key
    place = key.write.index(field) + 1
    return replace(key, write=(*key.write[:place], text, *key.write[place + 1 :]))


def test_there_is_a_maker_for_each_format_and_the_format_reads_what_it_makes() -> None:
    assert set(FORMATS) - set(MAKERS) == {"enum", "key-list"}


@pytest.mark.parametrize("seed", [0, 3, 2**63 - 1])
def test_synthetic_tenants_keep_every_rule_of_the_contract(seed: int) -> None:
    """A hundred tenants meet every scenery; none of them breaks a rule."""
    assert offences(CONTRACT, all_keys(plan_of(100, seed))) == []


def test_each_tenant_has_a_key_of_every_family_that_belongs_to_tenants() -> None:
    families = defaultdict(set)
    for key in all_keys(plan_of(5)):
        found = parsed(CONTRACT, key)
        families[found.tenant].add(found.family.name)
    system = families.pop(None)

    expected = {family.name for family in CONTRACT.seeded_families}
    assert families == dict.fromkeys(synthetic_tenant_ids(CONTRACT, 5, SEED), expected)
    assert {"mobile-session-template", "sector-template", "database-info"} <= system
    assert not {"creation-queue", "shared-performance-events", "phone-verification"} & system


def test_subscribed_events_are_among_the_tenant_s_channels() -> None:
    by_tenant: dict[str | None, dict[str, SeedKey]] = defaultdict(dict)
    for key in plan_of(70).keys(11):
        found = parsed(CONTRACT, key)
        by_tenant[found.tenant][found.family.name] = key
    for keys in by_tenant.values():
        connection = keys["websocket-connection"].value
        channels = keys["websocket-channels"].value
        assert isinstance(connection, dict)
        assert isinstance(channels, frozenset)
        subscribed = json.loads(connection[b"subscribed_events"])
        assert subscribed
        assert {name.encode() for name in subscribed} <= channels


def test_every_database_of_the_contract_is_in_use() -> None:
    assert list(plan_of(1).sizes) == list(DATABASES)


def test_the_first_tenants_stay_the_same_when_their_number_grows() -> None:
    few, many = plan_of(3), plan_of(30)
    for database in DATABASES:
        known = {key.name: key for key in many.keys(database)}
        assert all(known[key.name] == key for key in few.keys(database))


def test_another_seed_number_gives_other_tenants_with_other_data() -> None:
    one, other = all_keys(plan_of(3, 1)), all_keys(plan_of(3, 2))
    tenants = [{parsed(CONTRACT, key).tenant for key in keys} - {None} for keys in (one, other)]
    assert not tenants[0] & tenants[1]
    assert [key.write[2:] for key in one] != [key.write[2:] for key in other]


def test_a_tenant_s_data_follows_from_seed_number_and_id_alone() -> None:
    """Given ids get the same data whichever tenants stand beside them."""
    alone = SyntheticPlan(CONTRACT, ["ct-run-acme"], SEED, system_keys=False)
    among = SyntheticPlan(CONTRACT, ["ct-run-x", "ct-run-acme", "a"], SEED, system_keys=False)
    known = all_keys(among)
    assert all(key in known for key in all_keys(alone))


def test_a_run_s_tenants_all_expire_and_bring_no_system_keys() -> None:
    plan = SyntheticPlan(
        CONTRACT, ["ct-run-acme", "ct-run-globex"], SEED, expire_all=600, system_keys=False
    )
    keys = all_keys(plan)

    assert {parsed(CONTRACT, key).tenant for key in keys} == {"ct-run-acme", "ct-run-globex"}
    assert {key.ttl for key in keys} == {600}
    assert all(len(key.creation()) == 1 or key.creation()[1][0] == b"EXPIRE" for key in keys)
    sectors = {
        text for key in keys for field, text in fields_of(CONTRACT, key) if field.fact == "sector"
    }
    assert sectors == {"default"}


def test_expire_all_never_lengthens_a_time_to_live() -> None:
    plan = SyntheticPlan(CONTRACT, ["acme"], SEED, expire_all=3000, system_keys=False)
    limits = {key.ttl for key in all_keys(plan)}
    assert limits == {1800, 3000}


def test_the_moment_moves_every_time_in_the_data() -> None:
    later = MOMENT + timedelta(days=400)
    plan = SyntheticPlan(CONTRACT, ["acme"], SEED, at=later)
    assert not any(b"2025-01" in argument for key in all_keys(plan) for argument in key.write)
    for key in all_keys(plan):
        for field, text in fields_of(CONTRACT, key):
            if field.format.name == "time" and not field.name.startswith("next"):
                moment = field.format.parse(text)
                assert isinstance(moment, datetime)
                assert later - timedelta(hours=4) < moment < later


@pytest.mark.parametrize(
    "tenant", ["", "Acme", "a b", "acme:x", "acme-", "a" * 64, "a\x1fb", "ação"]
)
def test_an_invalid_tenant_id_is_refused_before_anything_is_made(tenant: str) -> None:
    with pytest.raises(InvalidTenantIdError):
        SyntheticPlan(CONTRACT, ["acme", tenant], SEED)


def test_the_ids_of_many_tenants_obey_the_contract() -> None:
    ids = synthetic_tenant_ids(CONTRACT, 1_000_001, 2**63 - 1)
    assert len(set(ids)) == 1_000_001
    assert CONTRACT.tenant.is_valid(ids[-1])


def changed_contract(folder: Path, changes: Mapping[str, str]) -> Contract:
    text = files("kryonix_cache.reference_impl.contract").joinpath("kryonix.toml").read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "contract.toml"
    path.write_text(text, encoding="utf-8")
    return load_contract(path)


def test_a_contract_of_another_team_gets_its_own_tenants(tmp_path: Path) -> None:
    """Other names, parts, tenant ids, digests, formats and sectors: all from the file alone."""
    other = changed_contract(
        tmp_path,
        {
            "pattern = '[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?'": "pattern = '[a-z0-9-]{1,40}'",
            "'(?:sha256|hmac-sha256):[0-9a-f]{64}'": "'hmac-sha256:[0-9a-f]{64}'",
            "session = '[A-Za-z0-9_-]{1,128}'": "session = '[0-9a-f]{8}-[0-9a-f-]{27}'",
            "module = '[a-z0-9_-]{1,64}'": "module = '[A-Z]{1,64}'",
            "endpoint = '[A-Za-z0-9_.-]{1,128}'": "endpoint = '[0-9]{12}'",
            "modules:tenant:{tenant}:{module}": "extra:{module}:of:{tenant}",
            "[sector.default]": "[sector.bakery]",
            'timezone = { format = "timezone", required = true }': (
                'timezone = { format = "phone", required = true, unique = true }'
            ),
        },
    )
    plan = plan_of(80, SEED, other)

    assert offences(other, all_keys(plan)) == []
    assert any(b"extra:" in key.name for key in plan.keys(7))
    assert b"ai:sector_templates:bakery" in {key.name for key in plan.keys(4)}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("item = '[A-Za-z0-9_.-]{1,128}'", "item = 'x{3}'", "key part 'item'"),
        (
            'slot_duration = "integer"',
            'slot_duration = { format = "integer", unique = true }',
            "'slot_duration'",
        ),
        ("'(?:sha256|hmac-sha256):[0-9a-f]{64}'", "'argon2:.*'", "argon2"),
        ("'[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?'", "'ct-[a-z0-9-]+'", "accepts no tenant id"),
    ],
)
def test_what_the_generator_cannot_make_is_said_in_one_sentence(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    with pytest.raises(SyntheticDataError, match=sentence):
        plan_of(1, SEED, changed_contract(tmp_path, {old: new}))


def test_a_thousand_tenants_are_written_whole_and_removed_whole(pools: Pools) -> None:
    plan = plan_of(1000)
    planned = 1000 * len(CONTRACT.seeded_families) + 16
    assert Seeder(pools).seed(plan) == SeedReport(planned, planned, 0)
    assert sum(pools[database].dbsize() for database in DATABASES) == planned >= 31_000

    assert Seeder(pools).unseed(plan).removed == planned
    assert sum(pools[database].dbsize() for database in DATABASES) == 0


def test_what_is_on_the_server_is_what_the_plan_says(pools: Pools) -> None:
    plan = plan_of(20)
    Seeder(pools).seed(plan)
    found = observe(pools)

    assert {place: (key.type, key.ttl is None) for place, key in found.items()} == {
        (key.database, key.name.decode()): (key.type, key.ttl is None) for key in all_keys(plan)
    }
    assert all(
        found[key.database, key.name.decode()].ttl == pytest.approx(key.ttl, abs=30)
        for key in all_keys(plan)
        if key.ttl
    )


def test_more_tenants_can_be_added_to_those_that_are_there(redis_pools: Pools) -> None:
    Seeder(redis_pools).seed(plan_of(5))
    report = Seeder(redis_pools).seed(plan_of(8))
    assert report.written == 3 * len(CONTRACT.seeded_families)


def test_sample_and_synthetic_tenants_live_on_one_server(redis_pools: Pools) -> None:
    """Keys of the whole system that are there already are left, and all stay with the sample."""
    seed_sample(redis_pools, datetime(2025, 1, 1, tzinfo=UTC))
    before = values(redis_pools)
    plan = plan_of(2)
    report = Seeder(redis_pools).seed(plan)

    assert report.shared == 6
    removal = Seeder(redis_pools).unseed(plan)
    assert (removal.removed, removal.needed) == (2 * len(CONTRACT.seeded_families), 10)
    assert (removal.shared, removal.changed) == (6, ())
    after = values(redis_pools)
    assert {place: after[place] for place in before} == before
    assert len(after) == len(before) + 10


@pytest.mark.parametrize("seeded", [7, SEED])
def test_a_set_of_tenants_leaves_the_keys_that_another_set_needs(
    redis_pools: Pools, seeded: int
) -> None:
    """Taking back what was never seeded, or a part of it, breaks nobody else's templates."""
    Seeder(redis_pools).seed(SyntheticPlan(CONTRACT, ["a", "b", "c"], seeded))
    before = values(redis_pools)
    never = SyntheticPlan(CONTRACT, ["never"], SEED)
    part = SyntheticPlan(CONTRACT, ["a"], seeded)
    for dry_run in (True, False):
        assert Seeder(redis_pools).unseed(never, dry_run=dry_run).removed == 0
        assert values(redis_pools) == before
    would = Seeder(redis_pools).unseed(part, dry_run=True)
    assert Seeder(redis_pools).unseed(part) == would
    assert (would.removed, would.needed) == (len(CONTRACT.seeded_families), 16)

    rest = SyntheticPlan(CONTRACT, ["b", "c"], seeded)
    would = Seeder(redis_pools).unseed(rest, dry_run=True)
    assert Seeder(redis_pools).unseed(rest) == would
    assert (would.needed, values(redis_pools)) == (0, {})


def test_a_system_key_of_another_type_is_refused(redis_pools: Pools) -> None:
    redis_pools[3].set("metrics:system", "x")
    with pytest.raises(ForeignKeyError, match="db 3 'metrics:system'"):
        Seeder(redis_pools).seed(plan_of(1))


def test_a_foreign_key_of_one_tenant_in_a_thousand_refuses_them_all(redis_pools: Pools) -> None:
    redis_pools[8].set(f"mobile_app:tenant:{synthetic_tenant_ids(CONTRACT, 777, SEED)[-1]}", "x")
    with pytest.raises(ForeignKeyError, match="nothing was written: db 8 'mobile_app"):
        Seeder(redis_pools).seed(plan_of(1000))
    assert sum(redis_pools[database].dbsize() for database in DATABASES) == 1


def test_a_changed_tenant_is_kept_by_unseed_and_named(redis_pools: Pools) -> None:
    plan = plan_of(50)
    Seeder(redis_pools).seed(plan)
    name = f"queue:tenant:{synthetic_tenant_ids(CONTRACT, 50, SEED)[-1]}"
    queue = next(key for key in plan.keys(2) if key.name.startswith(name.encode()))
    redis_pools[2].lpop(queue.name)
    report = Seeder(redis_pools).unseed(plan)

    assert report.changed == ((2, queue.name),)
    assert report.needed == 16
    assert report.removed == report.planned - 1 - 16
