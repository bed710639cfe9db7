# SPDX-License-Identifier: MIT
# make          builds hospes: build/hospes, with build/hospesd beside it
# make demo     installs what is missing, builds, and shows two guests on the default LAN
# make check    installs what tests need, builds with sanitizers, runs every test
# make bench    installs peers, measures beside them, prints the table; BENCH="--quick", see bench/README.md
# make install  to PREFIX (/usr/local), under DESTDIR if that is set

PREFIX ?= /usr/local

all: build/build.ninja
	ninja -C build

build/build.ninja:
	tools/packages build
	meson setup build --prefix=$(PREFIX) -Db_lto=true

demo:
	tools/packages build run demo
	$(MAKE) all
	tools/demo
	[ "$$(id -u)" != 0 ] || tools/demo-bridge

check:
	tools/packages build run demo test
	tools/check

bench:
	tools/packages build run bench
	[ -f build-bench/build.ninja ] || meson setup build-bench -Dbench=true -Db_lto=true
	ninja -C build-bench
	bench/run $(BENCH)

install: all
	meson install -C build

clean:
	rm -rf build build-check build-gcc build-bench

.PHONY: all demo check bench install clean
