#!/bin/sh
# The answer to "/": a line with the host name and every address that is not local to link or host.
printf 'Content-Type: text/plain\r\n\r\n'
echo "$(hostname)" $(ip -o addr show scope global | awk '{ print $4 }')
