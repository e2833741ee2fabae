# SPDX-License-Identifier: Apache-2.0
"""The contract: the keyspace, the directives and the objectives as data, and their loader."""

from kryonix_cache.reference_impl.contract.contract import Contract as Contract
from kryonix_cache.reference_impl.contract.errata import Erratum as Erratum
from kryonix_cache.reference_impl.contract.errata import load_errata as load_errata
from kryonix_cache.reference_impl.contract.formats import FORMATS as FORMATS
from kryonix_cache.reference_impl.contract.formats import Format as Format
from kryonix_cache.reference_impl.contract.loader import contract_schema as contract_schema
from kryonix_cache.reference_impl.contract.loader import default_contract as default_contract
from kryonix_cache.reference_impl.contract.loader import load_contract as load_contract
from kryonix_cache.reference_impl.contract.model import Directive as Directive
from kryonix_cache.reference_impl.contract.model import Family as Family
from kryonix_cache.reference_impl.contract.model import Field as Field
from kryonix_cache.reference_impl.contract.model import ParsedKey as ParsedKey
from kryonix_cache.reference_impl.contract.model import Profile as Profile
from kryonix_cache.reference_impl.contract.model import TenantRule as TenantRule
