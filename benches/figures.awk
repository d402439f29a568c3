# A page of docs/ with the tables that the benches have left in the directory `figures`; where there are none, the page stays.
/^<!-- end of make bench/ { if (inside) print ""; inside = 0 }
!inside { print }
/^<!-- from make bench/ {
    name = $4; sub(/^bench-?/, "", name)
    file = figures "/" (name == "" ? "results" : name) ".md"
    if ((getline line < file) > 0) {
        print ""
        do { if (line != "" || blank++ == 0) print line; if (line != "") blank = 0 } while ((getline line < file) > 0)
        close(file); inside = 1
    }
}
