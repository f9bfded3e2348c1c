import time
from commands import *
def test_a(toy_data, forked, run, tmp_path):
    for i in range(3):
        t=time.time()
        p = forked("fairseq-train", *training(toy_data, tmp_path/f"s{i}"))
        print(time.time()-t)
    import resource; print(p.stderr)
    t=time.time()
    g = forked("fairseq-generate", toy_data, "--user-dir","fairseq_vhm","--cpu","--task","cross_lingual_summarization","--path", tmp_path/"s1/checkpoint_last.pt", "--beam",2)
    print(time.time()-t)
    print(g.stdout[-3000:], 'ERR', g.stderr)
