# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Sourced by what runs in a freshly installed Debian, as root: scripts/NAME bookworm|trixie. The base system is kept for a week
# as a tarball in the cache folder; all else is installed anew each time. Mirror, proxies and CA certificates are this
# machine's. Processes and mounts live in namespaces that end with the script.
set -euo pipefail

# $$ is 1 in a new pid namespace.
if [ $$ -ne 1 ]; then
	exec unshare --mount --pid --fork --kill-child --mount-proc -- "$0" "$@"
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."

release=${1:?usage: scripts/$(basename "$0") bookworm|trixie}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gsq/debian
roots=()

die() {
	echo "$(basename "$0"): $*" >&2
	exit 1
}

say() {
	printf '\n== %s (%d s)\n' "$*" $SECONDS
}

release_mounts() {
	local point
	for point in "$1/proc" "$1/dev"; do
		if mountpoint --quiet "$point"; then umount --recursive "$point"; fi
	done
}

remove_roots() {
	local root
	for root in "${roots[@]}"; do
		release_mounts "$root"
		rm -rf --one-file-system "$root"
	done
}
trap remove_roots EXIT

# Where this machine gets its own Debian from, which has the other releases too.
mirror() {
	local codename
	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(RELEASE) $(REPO_URI)' "Created-By: Packages" |
		sed -n "s/^$codename //p" | head -n 1
}

# debootstrap downloads with wget, which does not read apt's configuration.
export_apt_proxy() {
	local http_proxy_of_apt=
	eval "$(apt-config shell http_proxy_of_apt Acquire::http::Proxy)"
	if [ -n "$http_proxy_of_apt" ]; then export http_proxy=${http_proxy:-$http_proxy_of_apt}; fi
}

# $root, a new empty folder.
new_root() {
	root=$(mktemp -d)
	chmod 755 "$root"
	roots+=("$root")
}

make_base() {
	local uri root base=$cache/$release.tar
	[ -z "$(find "$base" -mtime -7 2>/dev/null)" ] || return 0
	uri=$(mirror)
	[ -n "$uri" ] || die "apt's sources name no mirror of this machine's own release"
	say "Installing a minimal $release"
	mkdir -p "$cache"
	new_root
	debootstrap --variant=minbase "$release" "$root" "$uri" >"$cache/$release.log" 2>&1 ||
		{ tail -n 20 "$cache/$release.log" >&2 && die "debootstrap failed"; }
	tar --create --file "$base.new" --one-file-system --directory "$root" .
	mv "$base.new" "$base"
}

copy_network_settings() {
	cp --dereference /etc/resolv.conf /etc/hosts "$root/etc/"
	apt-config dump | grep -iE '^Acquire::(https?|Check-)' >"$root/etc/apt/apt.conf.d/90network" || true
	if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
		install -D -m 644 -t "$root/etc/ssl/certs" /etc/ssl/certs/ca-certificates.crt
	fi
}

# What git would commit now.
copy_tree() {
	mkdir "$root/gsq"
	git ls-files -z --cached --others --exclude-standard |
		tar --create --null --files-from=- --ignore-failed-read 2>/dev/null | tar --extract --directory "$root/gsq"
}

# A new system in $root.
unpack() {
	make_base
	new_root
	say "Unpacking a minimal $release"
	tar --extract --file "$cache/$release.tar" --directory "$root"
	# Nobody keeps it.
	echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
	copy_network_settings
	mount --types proc proc "$root/proc"
	mount --rbind /dev "$root/dev"
	mount --make-rslave "$root/dev"
}

# inside COMMAND...: in the new system, with the environment of a fresh login, the proxies, and $settings
settings=()
inside() {
	local environment=(HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin) name
	for name in http_proxy https_proxy no_proxy; do
		[ -z "${!name:-}" ] || environment+=("$name=${!name}")
	done
	chroot "$root" env --ignore-environment "${environment[@]}" "${settings[@]}" "$@"
}

export_apt_proxy
