#!/bin/bash
# Builds what a release consists of, for each architecture: a tarball, a Debian
# package and a list of what the program contains (SBOM); and the checksums of
# all. Two runs on one commit write the same bytes.
#
#	release.sh OUT    make release runs it, and gives in the environment:
#	                  VERSION, SOURCE_DATE_EPOCH, ARCHITECTURES, NFPM, CYCLONEDX
set -euo pipefail
umask 022
export TZ=UTC LC_ALL=C

out=$(realpath -m "$1")
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Debian allows no dash in a version that has a revision, and sorts + above the
# version before it: 0.2.0-5-g1234567 (git describe) is 0.2.0+5.g1234567.
DEB_VERSION=$(echo "$VERSION" | sed -e 's/-/+/' -e 's/-/./g')
export DEB_VERSION

# The license texts of all modules that are linked into the program.
licenses() {
	echo "flanneld $VERSION contains the following modules. The source code of each is at the"
	echo "address that is its name, in the version given."
	printf '\n==== The Go standard library, %s\n\n' "$(go env GOVERSION)"
	cat "$(go env GOROOT)/LICENSE"
	GOOS=linux go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/flanneld |
		sort -u | while read -r path version dir; do
		printf '\n==== %s %s\n' "$path" "$version"
		found=$(find "$dir" -maxdepth 1 -type f \( -iname 'LICEN[CS]E*' -o -iname 'COPYING*' -o -iname 'NOTICE*' \) | sort)
		test -n "$found" || { echo "release: $path has no license file" >&2; exit 1; }
		for file in $found; do
			echo
			cat "$file"
		done
	done
}

# Installs program, unit and the rest into a folder, for a prefix.
tree() {
	make --no-print-directory -s install DESTDIR="$1" PREFIX="$2" SYSCONFDIR=/etc "${@:3}" \
		VERSION="$VERSION" BINARY="$work/flanneld" MANPAGES="$work/man" >/dev/null
}

build() { # ARCH FILE
	CGO_ENABLED=0 GOOS=linux GOARCH=$1 GOAMD64=v1 GOARM64=v8.0 \
		go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o "$2" ./cmd/flanneld
}

settle() { find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +; }

licenses >"$work/THIRD-PARTY-LICENSES"
tree "$work/local" /usr/local
tree "$work/system" /usr ZSHDIR=/usr/share/zsh/vendor-completions

for arch in $ARCHITECTURES; do
	echo "release: $arch"
	name=flanneld-$VERSION-linux-$arch
	build "$arch" "$work/flanneld-$arch"
	$CYCLONEDX bin -json -std -noserial -notimestamp -version "$VERSION" -output "$out/$name.cdx.json" "$work/flanneld-$arch" 2>"$work/log" ||
		{ cat "$work/log" >&2; exit 1; }

	# The tarball: folders to copy to /usr/local, and what there is to read.
	mkdir "$work/$name"
	cp -r "$work/local/usr/local/." "$work/$name"
	cp -r "$work/local/etc" dist/INSTALL LICENSE NOTICE README.md CHANGELOG.md "$work/THIRD-PARTY-LICENSES" "$work/$name"
	install -m 0755 "$work/flanneld-$arch" "$work/$name/bin/flanneld"
	tar -C "$work" --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -c "$name" |
		gzip -9n >"$out/$name.tar.gz"

	# The package: the same under /usr, and what Debian asks for.
	deb=$work/deb-$arch
	docs=$deb/tree/usr/share/doc/flanneld
	mkdir -p "$deb"
	cp -r "$work/system" "$deb/tree"
	rm -r "$deb/tree/etc" # nfpm installs the settings, as conffiles
	cp dist/flanneld.default "$deb"
	cp dist/rt_protos.d/flanneld.conf "$deb/rt_protos.conf"
	cp -r dist/deb "$deb/scripts"
	install -m 0755 "$work/flanneld-$arch" "$deb/tree/usr/bin/flanneld"
	install -D -m 0755 dist/deb/docker-generator "$deb/tree/usr/lib/systemd/system-generators/flanneld-docker"
	install -D -m 0644 dist/docker-flanneld.conf "$deb/tree/usr/share/flanneld/docker-flanneld.conf"
	rm -r "$deb/tree/usr/lib/systemd/system/docker.service.d"
	install -d "$deb/tree/usr/lib/cni" # where Debian's own runtimes look
	ln -s /usr/bin/flanneld "$deb/tree/usr/lib/cni/flanneld-cni"
	mkdir -p "$docs"
	cp NOTICE README.md dist/deb/README.Debian dist/deb/copyright "$work/THIRD-PARTY-LICENSES" "$docs"
	cp CHANGELOG.md "$docs/changelog"
	printf 'flanneld (%s-1) stable; urgency=medium\n\n  * Packaged by the project itself; see changelog.gz.\n\n -- The flanneld authors <>  %s\n' \
		"$DEB_VERSION" "$(date -R -d "@$SOURCE_DATE_EPOCH")" >"$docs/changelog.Debian"
	gzip -9n "$docs/changelog" "$docs/changelog.Debian" "$deb"/tree/usr/share/man/man8/*.8
	settle "$deb"
	(cd "$deb" && DEB_ARCH=$arch $NFPM package --packager deb --config "$root/dist/nfpm.yaml" \
		--target "$out/flanneld_$DEB_VERSION-1_$arch.deb" >/dev/null)
done
(cd "$out" && sha256sum -- *.tar.gz *.deb *.cdx.json >SHA256SUMS)
ls -l --time-style=+ "$out"
