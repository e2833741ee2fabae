# SPDX-License-Identifier: Apache-2.0
"""What one tenant's own user of the server tries on another tenant."""
