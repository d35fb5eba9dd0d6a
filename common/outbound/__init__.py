"""Calls to hosts that tenants name: which addresses may be called, and one guarded GET."""
