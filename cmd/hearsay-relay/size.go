package main

import "hearsay/cmd/program"

// The least that a relay can work with, in bytes and in bytes per second: below
// it, echoing for measurements alone would take all of the bandwidth.
const (
	leastMemory    = 64 << 20
	leastBandwidth = 512 << 10
	leastSpace     = 64 << 20
)

// parseSize is as for all programs.
func parseSize(flag, text string, least int64) (int64, error) {
	return program.ParseSize(flag, text, least)
}
