package tui

import (
	"time"

	"hearsay/chat"
)

// fileRates measures how fast files move, by what events tell of them.
type fileRates map[string][]fileSample

// fileSample is how much of a file was there at a time.
type fileSample struct {
	at   time.Time
	done int64
}

// A rate is that of the last rateSpan. It is not shown when nothing was told for
// rateStale: in the slots of a cover profile that is many times the usual pause.
const (
	rateSpan  = time.Minute
	rateStale = 2 * time.Minute
)

// note takes what was told of a file.
func (r fileRates) note(f *chat.File, now time.Time) {
	if !fileMoves(f) {
		delete(r, f.ID)
		return
	}
	list := r[f.ID]
	if n := len(list); n > 0 {
		switch last := list[n-1]; {
		case f.Done == last.done:
			return
		case f.Done < last.done: // relays lost some of it
			list = nil
		}
	}
	for len(list) > 1 && now.Sub(list[1].at) > rateSpan {
		list = list[1:]
	}
	r[f.ID] = append(list, fileSample{now, f.Done})
}

// of returns bytes a second, false while nothing is known.
func (r fileRates) of(id string, now time.Time) (rate int64, ok bool) {
	list := r[id]
	if len(list) < 2 {
		return 0, false
	}
	first, last := list[0], list[len(list)-1]
	took := last.at.Sub(first.at)
	if took < time.Second || now.Sub(last.at) > rateStale {
		return 0, false
	}
	return int64(float64(last.done-first.done) / took.Seconds()), true
}

// expire forgets the rates of files that do not move any more and tells whether
// there were any.
func (r fileRates) expire(now time.Time) (some bool) {
	for id, list := range r {
		if now.Sub(list[len(list)-1].at) > rateStale {
			delete(r, id)
			some = true
		}
	}
	return some
}
