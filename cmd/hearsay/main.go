// Command hearsay is the chat client: a terminal interface, JSON-RPC for
// scripts, and a demo network on one computer.
package main

import (
	"os"

	"hearsay/cmd/program"
)

const name = "hearsay"

func main() {
	os.Exit(program.Main(root()))
}
