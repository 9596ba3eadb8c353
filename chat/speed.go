package chat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hearsay/circuit"
)

// speedEvery is the least time between two speed tests of a profile, restarts
// included: each one loads four relays. A lab network waits a tenth.
const speedEvery = 10 * time.Minute

// SpeedTest measures a circuit of its own, which never carries messages. It
// waits for the network until ctx ends. An Error of kind limit says that the
// last test was a short while ago, one of kind no_network that no circuit could
// be built. What was found before an error is in the report.
func (m *Messenger) SpeedTest(ctx context.Context, r circuit.SpeedRequest) (circuit.SpeedReport, error) {
	if _, err := m.waitView(ctx); err != nil {
		return circuit.SpeedReport{}, m.noSpeed(err)
	}
	m.mu.Lock()
	net := m.net
	m.mu.Unlock()
	n, ok := net.(interface {
		SpeedTest(context.Context, circuit.SpeedRequest) (circuit.SpeedReport, error)
	})
	if !ok {
		return circuit.SpeedReport{}, errors.New("chat: this network measures nothing")
	}
	if err := m.speedTurn(ctx); err != nil {
		return circuit.SpeedReport{}, err
	}
	// The next test waits from when this one first sends something.
	noted, progress := false, r.Progress
	r.Progress = func(s circuit.SpeedReport) {
		if !noted && s.Stage > circuit.SpeedBuilding {
			noted = true
			_ = m.do(ctx, func(t *turn) error {
				return t.tx.Bucket(bucketMeta).Put(metaSpeed, encode(time.Now().Unix()))
			})
		}
		if progress != nil {
			progress(s)
		}
	}
	report, err := n.SpeedTest(ctx, r)
	var soon *circuit.TooSoonError
	switch {
	case errors.As(err, &soon):
		return report, tooSoon(soon.RetryAfter)
	case err != nil && report.Stage == circuit.SpeedBuilding:
		return report, m.noSpeed(err)
	}
	return report, err
}

// speedTurn refuses a test right after another one.
func (m *Messenger) speedTurn(ctx context.Context) error {
	every := speedEvery
	if m.isLab() {
		every /= 10
	}
	var last int64
	err := m.look(ctx, func(t *turn) error {
		raw, err := t.tx.Bucket(bucketMeta).Get(metaSpeed)
		if raw == nil || err != nil {
			return err
		}
		return decode(raw, &last)
	})
	if err != nil {
		return err
	}
	// A clock that was set back does not forbid tests for long.
	if since := time.Since(time.Unix(last, 0)); since >= 0 && since < every {
		return tooSoon(every - since)
	}
	return nil
}

func tooSoon(wait time.Duration) error {
	wait = max(wait.Round(time.Second), time.Second)
	return &Error{Kind: KindLimit, Text: "the last speed test was a short while ago", Hint: fmt.Sprintf("try again in %s", wait)}
}

// noSpeed says why no circuit could be had.
func (m *Messenger) noSpeed(err error) error {
	return &Error{Kind: KindNoNetwork, Text: "no circuit for the speed test: " + PlainError(err), Hint: "`hearsay doctor` says what is missing"}
}

// SpeedTest asks the pool.
func (n *circuitNetwork) SpeedTest(ctx context.Context, r circuit.SpeedRequest) (circuit.SpeedReport, error) {
	return n.client.Pool().SpeedTest(ctx, r)
}
