"""Opens what the settings name: base, embedder, retriever, adapter store."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from client.adaptation import Adaptation, Progress
from hone.errors import BadInput, HoneError
from hone.files import check_writable

if TYPE_CHECKING:
    from client.adapter_store import AdapterStore
    from client.settings import Settings
    from kb.wire import Method, Retriever
    from models.base import Base
    from models.embedder import Embedder

USUAL_SERVER = "http://127.0.0.1:8000"


def open_adaptation(
    settings: Settings, kind: str, progress: Progress | None = None, *, adapt: bool = True
) -> Adaptation:
    """Opens everything that queries of `kind` ("arc" or "text") need. Cheap checks come first.

    Without `adapt`, only the base is opened. Used as a context, the result closes the connection to
    the server or knowledge base at the end."""
    _check(settings, kind)
    adaptation = _trainable(settings, kind) if adapt else Adaptation(open_base(settings), settings)
    if progress is not None:
        adaptation.progress = progress
    return adaptation


def _check(settings: Settings, kind: str) -> None:
    from arc.folder_format import format_name
    from client.text_format import reads_grids
    from models.multilora.placement import Placement

    Placement.parse(settings.adapter_layers)
    settings.recipe()
    if not (settings.greedy or settings.samples or settings.search_threshold):
        raise BadInput(
            "--greedy is false, and neither --samples nor --search_threshold is given: no answer"
            " would be written; give one of them"
        )
    if settings.server_url and settings.knowledge_base_path:
        raise BadInput("--server_url and --knowledge_base_path are both given; choose one")
    if settings.server_knowledge_base and settings.knowledge_base_path:
        raise BadInput(
            "--server_knowledge_base goes with --server_url, but --knowledge_base_path is given;"
            " choose one"
        )
    folder = Path(settings.model_path).expanduser()
    if kind == "text" and format_name(folder) == "canvas":
        raise reads_grids(f"the base {settings.model_path}")
    if settings.mode == "cohort":
        if kind == "text":
            raise BadInput(
                "--mode cohort trains on the demos of ARC tasks, and this is a text query; leave"
                " --mode out"
            )
        check_writable(settings.cohort_dir, "--cohort_dir")
    if settings.local_adapter_managing:
        _check_reuse(settings)


def _check_reuse(settings: Settings) -> None:
    check_writable(settings.local_adapter_manager_dir, "--local_adapter_manager_dir")
    near, threshold = (
        settings.local_adapter_manager_near_threshold,
        settings.local_adapter_manager_threshold,
    )
    if near is None:
        return
    if near > threshold:
        raise BadInput(
            f"--local_adapter_manager_near_threshold is {near}, above the"
            f" {threshold} from which adapters answer; give a lower one"
        )
    if settings.local_adapter_manager_near == "warm" and settings.adapter_layers == "head":
        raise BadInput(
            "--adapter_layers head cannot begin from a kept adapter; use"
            " --local_adapter_manager_near merge"
        )


def _trainable(settings: Settings, kind: str) -> Adaptation:
    from models.embedder import open_embedder
    from models.multilora.targets import find_targets, fitting_rank

    usual = "arc" if kind == "arc" else "minilm"
    embedder = open_embedder(usual if settings.embedder == "auto" else settings.embedder)
    if embedder.kind != kind:
        raise BadInput(
            f"--embedder {settings.embedder} reads {embedder.kind} queries, these are {kind};"
            " leave it at auto"
        )
    retriever = open_retriever(settings, embedder)
    base = open_base(settings)
    # refuse unknown layer names before a store is created
    linears = find_targets(base.model, settings.target_modules, settings.adapter_layers)
    if (rank := fitting_rank(linears, settings.lora_rank)) < settings.lora_rank:
        print(
            f"note: --lora_rank {settings.lora_rank} is too large for the narrowest layer;"
            f" {rank} is used",
            file=sys.stderr,
        )
    store = open_store(settings)
    if retriever is None and settings.num_ttt_samples:
        print(
            "note: no --server_url and no --knowledge_base_path; training on the task's own demos",
            file=sys.stderr,
        )
    return Adaptation(base, settings, embedder, retriever, store)


def open_base(settings: Settings) -> Base:
    import torch

    from models.base import load_base

    if settings.threads:
        torch.set_num_threads(settings.threads)
    return load_base(
        settings.model_path,
        dtype=settings.dtype,
        device=settings.device,
        quantization=settings.quantization,
        residency=settings.residency,
        max_len=settings.max_len,
        memory_limit_mb=settings.memory_limit_mb,
        trust_remote_code=settings.trust_remote_code,
    )


def open_retriever(settings: Settings, embedder: Embedder) -> Retriever | None:
    """The named server or knowledge base. For text queries without either, the default server; for
    ARC tasks, None."""
    if settings.num_ttt_samples == 0:
        return None
    if settings.knowledge_base_path:
        from kb.retriever import LocalRetriever
        from kb.store import KnowledgeBase

        opened = KnowledgeBase.open(settings.knowledge_base_path)
        method: Method = "faiss" if settings.only_faiss else "sift"
        retriever: Retriever = LocalRetriever(opened, default_method=method)
        _check_embedder(retriever, embedder, str(settings.knowledge_base_path))
        return retriever
    url = settings.server_url or (USUAL_SERVER if embedder.kind == "text" else None)
    if url is None:
        return None
    from client.http_retriever import HttpRetriever
    from client.server_connection import KEY_VARIABLE

    server = HttpRetriever(
        url,
        expected_fingerprint=embedder.fingerprint,
        knowledge_base=settings.server_knowledge_base,
        api_key=os.environ.get(KEY_VARIABLE),
    )
    try:
        server.info()  # find out before the base is loaded if it is down or has another embedder
    except HoneError:
        server.close()
        raise
    return server


def open_store(settings: Settings) -> AdapterStore | None:
    if not settings.local_adapter_managing:
        return None
    from client.adapter_store import AdapterStore

    return AdapterStore(
        settings.local_adapter_manager_dir,
        size=settings.local_adapter_manager_size,
        threshold=settings.local_adapter_manager_threshold,
        strategy=settings.local_adapter_manager_strategy,
        seed=settings.seed,
        most_bytes=settings.local_adapter_manager_mb << 20,
        memory=settings.local_adapter_manager_memory_mb << 20,
    )


def _check_embedder(retriever: Retriever, embedder: Embedder, where: str) -> None:
    info = retriever.info()
    if info.embedder_fingerprint != embedder.fingerprint:
        raise BadInput(
            f"{where} was embedded with {info.embedder} ({info.embedder_fingerprint}), queries"
            f" with {embedder.name} ({embedder.fingerprint}); build it again with this embedder"
        )
