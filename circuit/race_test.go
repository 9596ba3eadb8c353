//go:build race

package circuit_test

// raceDetector says that everything takes many times as long: what goes on for
// hours elsewhere, for many queues, goes on for one hour, for few.
const raceDetector = true
