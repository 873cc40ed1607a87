"""Every measurement, in the order of the document. Each has a NAME, the databases it goes ON, OPTIONS as name: (by
default, small, what it is), `measure` to rows, COLUMNS of its table, and `headlines` for the one table."""

from . import enrolment, growth, hand_over, latency, sleepers, stages, start, upload, webhooks, workers

ALL = [hand_over, workers, stages, enrolment, latency, start, sleepers, growth, upload, webhooks]
