"""What is measured, a module a subject: each has ``measure(bench)``, which yields rows and points."""
