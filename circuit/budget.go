package circuit

import (
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/link"
)

// budget shares the ticks of a shaped link: builds may take 30 % and PINGs
// 10 % of those in any ten minutes, so that both leave room for messages. It
// counts cells by minute. Links without ticks have no such limit.
type budget struct {
	minute int64 // of the newest slot
	builds [budgetMinutes]int
	pings  [budgetMinutes]int
	fronts [budgetMinutes]int // builds beyond the share, for what a user waits for
}

// turn makes the slot of now the newest one and returns its index.
func (b *budget) turn(now time.Time) int {
	m := now.Unix() / 60
	if m-b.minute >= budgetMinutes || m < b.minute {
		*b = budget{minute: m}
	}
	for ; b.minute < m; b.minute++ {
		i := (b.minute + 1) % budgetMinutes
		b.builds[i], b.pings[i], b.fronts[i] = 0, 0, 0
	}
	return int(m % budgetMinutes)
}

func total(slots *[budgetMinutes]int) (n int) {
	for _, k := range slots {
		n += k
	}
	return n
}

// ticksIn returns how many ticks of a profile the budget is a share of.
func ticksIn(f link.Profile) int { return int(budgetMinutes * time.Minute / f.Tick()) }

// mayPing tells whether n more PINGs fit.
func (b *budget) mayPing(now time.Time, f link.Profile, n int) bool {
	b.turn(now)
	return f == link.Off || total(&b.pings)+n <= ticksIn(f)*pingShare/100
}

func (b *budget) ping(now time.Time, n int) { b.pings[b.turn(now)] += n }

// mayBuild tells whether another build fits into a share, in percent, of what
// builds may take.
func (b *budget) mayBuild(now time.Time, f link.Profile, percent int) bool {
	b.turn(now)
	return f == link.Off || total(&b.builds)+buildCells <= ticksIn(f)*buildShare/100*percent/100
}

// mayBuildFront tells whether another build fits for which a user waits: into
// what builds may take, or into as much again, which no other build takes or
// waits for.
func (b *budget) mayBuildFront(now time.Time, f link.Profile) bool {
	return b.mayBuild(now, f, 100) || total(&b.fronts)+buildCells <= ticksIn(f)*buildShare/100
}

// build counts the cells of hops that are added.
func (b *budget) build(now time.Time, hops int) { b.builds[b.turn(now)] += 2*hops + dropMax/2 }

// buildFront counts the same where a user waits.
func (b *budget) buildFront(now time.Time, f link.Profile, hops int) {
	if b.mayBuild(now, f, 100) {
		b.build(now, hops)
		return
	}
	b.fronts[b.turn(now)] += 2*hops + dropMax/2
}

// buildCells is what a build to a destination costs each way.
const buildCells = 2*cell.Slots + dropMax/2
