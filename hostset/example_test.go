package hostset_test

import (
	"fmt"

	"shoal/hostset"
)

func ExampleExpand() {
	names, err := hostset.Expand("web1,db[08-10]")
	fmt.Println(names, err)
	// Output: [web1 db08 db09 db10] <nil>
}

func ExampleFold() {
	fmt.Println(hostset.Fold([]string{"node9", "node3", "node8", "node7", "r1n1", "r1n2", "r2n1", "r2n2"}))
	// Output: node[3,7-9],r[1-2]n[1-2]
}
