package hostset_test

import (
	"fmt"

	"shoal/hostset"
)

func ExampleExpand() {
	names, err := hostset.Expand("web1,db[08-10]!db09")
	fmt.Println(names, err)
	// Output: [web1 db08 db10] <nil>
}

func ExampleFold() {
	fmt.Println(hostset.Fold([]string{"node9", "node3", "node8", "node7", "r1n1", "r1n2", "r2n1", "r2n2"}))
	// Output: node[3,7-9],r[1-2]n[1-2]
}

func ExampleResolver() {
	resolver := hostset.NewResolver(mapGroups{"": {
		"rack1": "node[1-20]", "rack2": "node[21-40]", "down": "node[7,33]", "*": "@rack[1-2],login",
	}})
	for _, expr := range []string{"@rack[1-2]!@down", "@rack2&@down", "*!node*"} {
		e, err := resolver.Parse(expr)
		fmt.Println(e.Len(), e.Set(), err)
	}
	// Output:
	// 38 node[1-6,8-32,34-40] <nil>
	// 1 node33 <nil>
	// 1 login <nil>
}

func ExampleSet() {
	asked := hostset.SetOf([]string{"web1", "web2", "web3", "db1"})
	answered := hostset.SetOf([]string{"web1", "web3"})
	fmt.Println(asked.Minus(answered))
	// Output: db1,web2
}
