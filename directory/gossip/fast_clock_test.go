package gossip

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestFastClockIsSuspected: a client that has no snapshot is given none but one that
// is too old by its clock. It may be the clock: people are told, as nothing else
// would say why there is no network.
func TestFastClockIsSuspected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := divide(t)
		var logs capture
		c := clientOf(t, d.f, d.m, "relay 0", &memoryState{}, &logs)
		check(t, c.fetch(t.Context()))
		raw := d.a.twin()
		raw.at = time.Now().Add(time.Minute).Truncate(10 * time.Second)
		newer := raw.publish(listings(5, true, directory.FlagGuard), nil)
		s, err := directory.ParseSnapshot(newer)
		check(t, err)
		proof, err := raw.log.Prove(c.state.ProofRange(s.Header.LogSize))
		check(t, err)
		for _, fresh := range []bool{false, true} {
			if fresh {
				c.cfg.Views = new(directory.Views)
			}
			err := c.install(newer, s, proof, time.Now().Add(8*24*time.Hour))
			if !errors.Is(err, directory.ErrExpired) {
				t.Fatal(err)
			}
			if err := c.contested(nil, newer, s, err); !errors.Is(err, directory.ErrExpired) {
				t.Error(err)
			}
			list := c.cfg.Views.Warnings(time.Now())
			if told := len(list) == 1 && list[0].Kind == directory.WarnClock && strings.Contains(list[0].Text, "this computer's clock is ahead"); told != fresh {
				t.Errorf("without a snapshot: %v, warnings %+v", fresh, list)
			}
		}
		d.m.stop()
	})
}
