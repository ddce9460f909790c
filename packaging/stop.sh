#!/bin/sh
# What runs is stopped when the package goes, and goes on when another version comes: dpkg says "upgrade", rpm "1".
case $1 in
upgrade | 1) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl --no-reload disable --now shoal-worker.service shoal-hub.service || :
	systemctl stop 'shoal-watch@*.service' || :
fi
