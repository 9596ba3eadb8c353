//go:build race

package abuse

// raceDetector says that the victim runs under the race detector, which keeps
// a shadow of all memory: its figures say nothing about a relay.
const raceDetector = true
