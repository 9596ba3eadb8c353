package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the nodes of the tests that start processes.
func TestMain(m *testing.M) {
	if role := os.Getenv(nodeEnv); role != "" {
		os.Exit(runNode(role, os.Stdin, os.Stdout))
	}
	goleak.VerifyTestMain(m)
}
