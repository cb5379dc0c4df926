"""Programs that measure the product against something simpler in the same run. Loopback only, bounded."""
