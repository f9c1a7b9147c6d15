"""The FastAPI retrieval service over a knowledge base."""

import os

# SIFT's products are small, and many requests make them at once: a thread each is faster than all
# threads for each. numpy reads this when it is loaded, so it stands before any module that does;
# FAISS goes by OMP_NUM_THREADS.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
