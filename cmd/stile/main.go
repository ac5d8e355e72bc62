// Command stile is a VPN service in one binary: the control plane, the nodes, and the command line of those who run it
// and of those who use it.
package main

import (
	"os"

	"stile/cli"
)

func main() { os.Exit(cli.Main()) }
