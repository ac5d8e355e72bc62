package planebench

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const repeats = 3

// Contender is a server with its client.
type Contender struct {
	Name string
	*Process
	Dial Dialer
}

// Compare prints a table of processor time for each GB as a ratio to the plain relay, which is measured before and after
// the contenders in every round. Below it stands what a relay and a cipher alone would take.
func Compare(b *testing.B, s *Site, relay *Process, contenders []Contender) {
	loads := []Load{{"down 1", 1, false}, {"down 64", 64, false}, {"up 64", 64, true}}
	measure := func(p *Process, dial Dialer, l Load) (float64, float64) {
		return Throughput(b, p, dial, l, s, 500*time.Millisecond, 1500*time.Millisecond)
	}
	for b.Loop() {
		fmt.Printf("\nCPU seconds per GB as a ratio to a plain Go relay, median of %d (least–most), and Gbit/s\n%-28s", repeats, "")
		for _, l := range loads {
			fmt.Printf("%-30s", l.Name)
		}
		rows, floorRows := make([]string, len(contenders)), make([]string, len(ciphers))
		for _, l := range loads {
			ratios, rates := make([][]float64, len(contenders)), make([][]float64, len(contenders))
			floors := make([][]float64, len(ciphers))
			for range repeats {
				before, _ := measure(relay, PlainDialer(relay.Address), l)
				costs := make([]float64, len(contenders))
				for i, c := range contenders {
					cost, rate := measure(c.Process, c.Dial, l)
					costs[i] = cost
					rates[i] = append(rates[i], rate)
				}
				after, _ := measure(relay, PlainDialer(relay.Address), l)
				for i := range costs {
					ratios[i] = append(ratios[i], costs[i]*2/(before+after))
				}
				for i, c := range ciphers {
					floors[i] = append(floors[i], 1+cipherCost(b, c)*2/(before+after))
				}
			}
			for i := range ciphers {
				middle, least, most := Median(floors[i])
				floorRows[i] += fmt.Sprintf("%-30s", fmt.Sprintf("%.2f (%.2f–%.2f)", middle, least, most))
			}
			for i := range contenders {
				middle, least, most := Median(ratios[i])
				rate, _, _ := Median(rates[i])
				rows[i] += fmt.Sprintf("%-30s", fmt.Sprintf("%.2f (%.2f–%.2f)  %.1f", middle, least, most, rate))
				b.ReportMetric(middle, strings.NewReplacer(" ", "-").Replace(contenders[i].Name+"-"+l.Name)+"-ratio")
			}
		}
		for i, c := range contenders {
			fmt.Printf("\n%-28s%s", c.Name, rows[i])
		}
		for i, c := range ciphers {
			fmt.Printf("\n%-28s%s", "relay + "+c, floorRows[i])
		}
		fmt.Println()
	}
}
