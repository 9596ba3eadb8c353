package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"hearsay/circuit"
)

// doctorSpeed bounds a speed test: on a shaped link each answer takes ticks.
const doctorSpeed = 15 * time.Minute

// speed measures a circuit and prints what it finds. It asks before a burst
// where there is somebody to ask.
func (d *doctor) speed(ctx context.Context, p *profile, ask bool) error {
	ctx, cancel := context.WithTimeout(ctx, doctorSpeed)
	defer cancel()
	r := circuit.SpeedRequest{Progress: d.out.speedProgress}
	if cover := p.Status().Cover; cover != "off" && ask && isTerminal() {
		var err error
		if r.Burst, err = askBurst(ctx, cover); err != nil {
			return err
		}
	}
	report, err := p.SpeedTest(ctx, r)
	if err != nil {
		return err
	}
	d.out.speedResult(report)
	return nil
}

// askBurst asks whether a visible burst is accepted. Only a clear yes counts.
func askBurst(ctx context.Context, cover string) (bool, error) {
	return agrees(ctx, os.Stdin, os.Stderr, fmt.Sprintf("Cover traffic is on (%s). To measure the rate, traffic beyond it runs for about\n"+
		"a minute, and whoever watches this link sees it. Without it round trips alone\n"+
		"are measured, in the ticks of cover traffic. Accept the burst? [y/N] ", cover))
}
