package bot

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

const published = `2252576253462244111563365343671351441 -1
7422341735647741166133573473242566 1
23163416124767223154467471272416755633 0
71255763773133525731261364622167124446454 0
65214673556155731566316327373221417 -1
52677675164321472411331752454 0
3135151421347443544172316522225776773566 0
562154564361751726662253737734213275114 0
233377345754465174223731671122611552 1
6763525635134453444361412671365712 -1
211376455663355325112113664364524722 0
3146762114467714356347741621375222 -1
67152117737262713366376314254 6
2762751722231276466633475674533 5
3642756176227637211322113551637574556 2
22647455554314246733661634615122372377511 0
427566236745127177115664464254 2
7172212567451542223676134464437761515 0
641154574541323641152467137655232232366 0
5775265212657176476365522624313714333 2
3575316255751336464276636772271112 -3
32751571231557 -3
335662333565 -2
2416615552 4
157564142155 -5
1616621455211 6
2541266355551 -3
5371555645 4
23156612526 4
13134411534775 -6
23766176641753 2
54676552255627 2
274121776146 4
663152175 -4
67331624326767 -5
7265453 6
266674777 4
634766171 4
75734233473735 0
1113763247111 0
1115225131612 0
54341 6
472147 11
415646 11
3737 11
47566536146265 0
14534 0
2353427 0
13712 3
751321 2
7777 1
442372771637 0
12733 0`

func pons(t *testing.T, moves string) rules.Board {
	var b rules.Board
	for _, c := range moves {
		n, err := b.Drop(int(c - '1'))
		if err != nil {
			t.Fatal(moves, err)
		}
		b = n
	}
	return b
}

func solve(b rules.Board, r *rand.Rand) int {
	if b.Outcome() == rules.Draw {
		return 0
	}
	s := search{ctx: context.Background(), depth: rules.Cells, budget: 1 << 40, table: make([]entry, 1<<23)}
	p := positionOf(b)
	var v int
	for d := 1; d <= rules.Cells-p.ply(); d++ {
		v = s.value(p, -winAt(0), winAt(0), d)
		if isDecided(v) && endOf(v) <= p.ply()+d {
			break
		}
		v = 0
	}
	switch {
	case v > 0:
		return 22 - (endOf(v)+1)/2
	case v < 0:
		return (endOf(v)+1)/2 - 22
	}
	return 0
}

func TestTmp2(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	wrong := 0
	for _, line := range strings.Split(published, "\n") {
		f := strings.Fields(line)
		b := pons(t, f[0])
		t0 := time.Now()
		got := solve(b, r)
		if fmt.Sprint(got) != f[1] {
			fmt.Println("DIFF", line, "got", got, time.Since(t0))
		}
		c, _ := Move(context.Background(), b, Hard, r)
		n, _ := b.Drop(c)
		var after int
		if n.Outcome() != rules.Ongoing {
			after = 21 - (n.Ply()-1)/2
			if n.Outcome() == rules.Draw {
				after = 0
			}
		} else {
			after = -solve(n, r)
		}
		if after != got {
			wrong++
			fmt.Println("hard:", line, "->", c+1, "score", after, time.Since(t0))
		}
	}
	fmt.Println("wrong", wrong)
}
