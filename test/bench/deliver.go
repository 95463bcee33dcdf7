// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// deliver prints the report and writes the files that were asked for.
func (o options) deliver(r Report) error {
	fmt.Print(r.text())
	if o.json != "" {
		if err := r.write(o.json); err != nil {
			return err
		}
		written(o.json)
	}
	if o.chart != "" {
		if err := os.WriteFile(o.chart, []byte(r.chart()), 0o644); err != nil {
			return err
		}
		written(o.chart)
	}
	if o.publish {
		if err := r.publish("."); err != nil {
			return err
		}
		written(publishedDir)
	}
	return nil
}

func written(name string) {
	if absolute, err := filepath.Abs(name); err == nil {
		name = absolute
	}
	fmt.Println("Written to", name)
}
