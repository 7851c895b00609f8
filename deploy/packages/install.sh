#!/bin/sh
# install.sh PACKAGE…: Debian packages, none of whose services is started or enabled.
#
# The agent runs its own BIRD, and babeld, FRR, GoBGP and yggdrasil are for tests in network namespaces. Their packages
# would start them on this host, where they would touch its routes. A service that was there before is left alone.
set -eu

units_of() {
  for package; do
    case $package in
      bird2) echo bird.service ;;
      babeld | frr | gobgpd | yggdrasil) echo "$package.service" ;;
    esac
  done
}

policy=/usr/sbin/policy-rc.d # asked by invoke-rc.d and deb-systemd-invoke; 101: not allowed
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi

apt-get update -q > /dev/null
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" > /dev/null

if [ -d /run/systemd/system ]; then
  for unit in $(units_of "$@"); do
    systemctl disable --quiet "$unit" 2> /dev/null || true # some versions ship fewer units
  done
fi
