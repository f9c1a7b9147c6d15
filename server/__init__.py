"""The FastAPI retrieval service over a knowledge base."""

import os

# SIFT's matrix products are small, and many requests compute them at once: one thread for each is
# faster than all threads for each. numpy reads this variable when it is loaded, so it is set before
# any module loads numpy. FAISS heeds OMP_NUM_THREADS instead.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
