package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// interactiveLine is what TestInteractiveBesideBulk logs.
var interactiveLine = regexp.MustCompile(`interactive p50 (\S+) alone, (\S+) beside (\d+) bulk circuits, p99 (\S+); ratio ([0-9.]+); bulk ([0-9.]+) MB/s`)

// interactive runs a test in virtual time, in which a link of 50 Mbit/s is one.
func (b *bench) interactive() error {
	out, err := exec.Command("go", "test", "-count=1", "-v", "-run", "^TestInteractiveBesideBulk$", "hearsay/relay/lab/speed").CombinedOutput()
	m := interactiveLine.FindSubmatch(out)
	if m == nil {
		return fmt.Errorf("the test in virtual time said nothing of use: %w\n%s", err, out)
	}
	ratio, err := strconv.ParseFloat(string(m[5]), 64)
	if err != nil {
		return err
	}
	alone, err := time.ParseDuration(string(m[1]))
	if err != nil {
		return err
	}
	beside, err := time.ParseDuration(string(m[2]))
	if err != nil {
		return err
	}
	b.add(figure{
		name: "one cell beside 64 bulk circuits, 50 Mbit/s, p50 to that alone", must: 1.7, unit: "times", measured: ratio,
		plain: fmt.Sprintf("virtual time: %.1f ms alone, %.1f ms beside %s MB/s", ms(alone), ms(beside), m[6]),
	})
	return nil
}
