.DEFAULT_GOAL := help
.PHONY: help up test lint fmt fuzz openapi sdks bench prove release reset

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

up: ## build and start everything on one SQLite file, with a sample campaign: http://127.0.0.1:8080
	cargo run --bin sendwright -- up --demo

test: ## run every test, on both databases and both queues; finds or installs the servers it needs
	@.ci/servers
	cargo test --workspace --no-fail-fast

lint: ## check format, clippy and, where cargo-deny is installed, licences and sources
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check bans licenses sources; fi

fmt: ## format the code
	cargo fmt --all

fuzz: ## mutate what strangers send (templates, files, addresses, replies, letters, segments), a minute each
	cargo run --release -p sendwright-fuzz

openapi: ## write docs/openapi.json, docs/openapi-3.0.json and docs/postman.json from the code
	cargo build --bin sendwright
	target/debug/sendwright openapi > docs/openapi.json
	target/debug/sendwright openapi --3.0 > docs/openapi-3.0.json
	target/debug/sendwright openapi --postman > docs/postman.json

sdks: ## pack the Python and JavaScript clients into target/sdks
	sdks/pack

bench: ## measure everything on this machine, beside BullMQ and nodemailer too, and write docs/PERFORMANCE.md; about an hour
	@.ci/servers
	cargo build --release -p sendwright -p sendwright-bench
	bench/run all

prove: ## break what can be broken, under 20 seeds each, and write docs/PROOF.md; hours, and it goes on where it stopped
	prove/run

release: ## build target/release/sendwright
	cargo build --release --bin sendwright

reset: ## delete ./data (database, journal, secret, demo key) after asking
	@[ -d data ] || { echo 'There is no ./data: nothing to delete.'; exit 0; }; \
	printf 'Delete ./data with all that is in it? Stop sendwright first. [y/N] '; read -r answer || answer=; \
	if [ "$$answer" = y ]; then rm -rf data && echo 'Deleted.'; else echo 'Kept.'; fi
