# SPDX-License-Identifier: MIT
# make          builds hospes: build/hospes, with build/hospesd beside it
# make demo     installs what is missing, builds, and shows two guests on the default LAN
# make check    installs what tests need, builds with sanitizers, runs every test
# make install  to PREFIX (/usr/local), under DESTDIR if that is set

PREFIX ?= /usr/local

all: build/build.ninja
	ninja -C build

build/build.ninja:
	tools/packages build
	meson setup build --prefix=$(PREFIX)

demo:
	tools/packages build run demo
	$(MAKE) all
	tools/demo
	[ "$$(id -u)" != 0 ] || tools/demo-bridge

check:
	tools/packages build run demo test
	tools/check

install: all
	meson install -C build

clean:
	rm -rf build build-check build-gcc

.PHONY: all demo check install clean
