"""Every sentence about a result or a remedy, once for a model and once for a person.

The floors below say what happened and give a code for what to do. No code reads these sentences back.
"""
