package path

import (
	"testing"
	"time"

	"hearsay/directory"
)

// BenchmarkPath draws paths in a network of ten thousand relays.
func BenchmarkPath(b *testing.B) {
	list := relays(10_000)
	s := selector(1, list)
	for i := 0; b.Loop(); i++ {
		if _, err := s.Path(t0, list[i%len(list)].ID); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpdate looks at a view that did not change.
func BenchmarkUpdate(b *testing.B) {
	s := selector(1, relays(10_000))
	for b.Loop() {
		s.Update(s.view, directory.Fresh, t0)
	}
}

// BenchmarkNewView takes another view of ten thousand relays.
func BenchmarkNewView(b *testing.B) {
	list := relays(10_000)
	s := selector(1, list)
	views := [2]*directory.View{view(list), view(list)}
	for i := 0; b.Loop(); i++ {
		s.Update(views[i%2], directory.Fresh, t0)
	}
}

// BenchmarkBuildTook learns from a build and asks for the next timeout.
func BenchmarkBuildTook(b *testing.B) {
	s := New(testNetwork, false, newRand(1))
	rnd := newRand(2)
	for b.Loop() {
		s.BuildTook(0, 3, time.Second+time.Duration(rnd.Int64N(int64(2*time.Second))))
		s.BuildTimeout(0, 3)
	}
}
